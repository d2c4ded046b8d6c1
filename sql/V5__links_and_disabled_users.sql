-- Links, each worth one use: an invitation to register, or a new password for who forgot it.
CREATE TABLE links (
    -- SHA-256 of the random number in the link. Whoever reads this table cannot use it.
    hash BYTEA PRIMARY KEY,

    -- What the link allows. One that says "password" must not register anybody, and the other way round.
    purpose TEXT NOT NULL CHECK (purpose IN ('invitation', 'password')),

    -- Whose password it sets. A link ends with its user, so that nobody's link can set the password of
    -- somebody who came later.
    uid BIGINT REFERENCES users ON DELETE CASCADE,

    -- Who is invited: an email that had no account, folded as users.email_folded is, so that the account
    -- that is made with it ends every invitation to it.
    email TEXT,

    -- When it ends unless it is used before. The database's clock decides, for every process.
    expires_at TIMESTAMPTZ NOT NULL,

    CHECK ((purpose = 'password') = (uid IS NOT NULL)),
    CHECK ((purpose = 'invitation') = (email IS NOT NULL))
);

-- To end a user's links with the password that they would have changed, and with the user.
CREATE INDEX links_uid_idx ON links (uid);

-- To end the invitations to an email when it gets an account.
CREATE INDEX links_email_idx ON links (email);

-- Since when the user may not log in. Empty for everybody who may. The moment is kept, and not only the
-- fact, for the administrator who looks at it a year later.
ALTER TABLE users ADD COLUMN disabled_at TIMESTAMPTZ;
