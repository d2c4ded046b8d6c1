-- The people who may log in.
CREATE TABLE users (
    -- What every other table calls a user by. A name or an email may change; this never does.
    uid BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,

    -- Names hold real people: up to 100 letters, of any script.
    first_name VARCHAR(100) NOT NULL,
    last_name VARCHAR(100) NOT NULL,

    -- As it was typed. 254 is the longest address that mail can be sent to (RFC 5321, 4.5.3.1.3).
    email VARCHAR(254) NOT NULL,

    -- bcrypt's own format ("$2b$12$..."): algorithm, cost, salt and hash in 60 characters.
    pwdhash VARCHAR(60) NOT NULL,

    created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

-- One account for one address, however it is capitalised. Registration relies on this index
-- to find duplicates, so that two requests at the same moment cannot both win.
CREATE UNIQUE INDEX users_email_key ON users (lower(email));
