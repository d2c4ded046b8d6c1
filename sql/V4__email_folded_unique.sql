-- One account for one address, however it is capitalised. Registration relies on this constraint to
-- find duplicates, so that two requests at the same moment cannot both win. Unlike the index that it
-- replaces, it means the same in every cluster, so a dump can be restored into any.
ALTER TABLE users
    ALTER COLUMN email_folded SET NOT NULL,
    ADD CONSTRAINT users_email_folded_key UNIQUE (email_folded);

DROP INDEX users_email_key;

-- To find the highest cost in the table at once. A wrong password takes as long as a hash of that cost,
-- whoever it is for; otherwise the time would tell whether an email has an account.
CREATE INDEX users_cost_idx ON users (substring(pwdhash FROM 5 FOR 2))
WHERE pwdhash ~ '^[$]2[abxy][$][0-9][0-9][$]';
