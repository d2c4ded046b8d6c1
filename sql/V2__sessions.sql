-- The logins that are alive. Losing this table would log everybody out and do no other harm.
CREATE TABLE sessions (
    -- SHA-256 of the id in the visitor's cookie. Who reads this table cannot log in with it.
    id_hash BYTEA PRIMARY KEY,

    -- Whose session it is. It ends with the user.
    uid BIGINT NOT NULL REFERENCES users ON DELETE CASCADE,

    -- The session's public name, by which its user can end it from another browser.
    number BIGINT GENERATED ALWAYS AS IDENTITY UNIQUE,

    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),

    -- When it was last used, written at most once a minute.
    last_seen_at TIMESTAMPTZ NOT NULL DEFAULT now(),

    -- When it ends unless it is used before: the idle timeout after last_seen_at, but never
    -- later than the lifetime after created_at. The database's clock decides, for every process.
    expires_at TIMESTAMPTZ NOT NULL,

    -- Whether "remember me" was ticked: which pair of times the line above means.
    remembered BOOLEAN NOT NULL,

    -- What the browser called itself at login, and where it was, for the list on the secret page.
    user_agent TEXT NOT NULL,
    ip INET NOT NULL
);

-- To list a user's sessions, to end them, and to delete them with the user.
CREATE INDEX sessions_uid_idx ON sessions (uid);

-- To sweep what has expired without reading the rest.
CREATE INDEX sessions_expires_at_idx ON sessions (expires_at);
