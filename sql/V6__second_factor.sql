-- The second factor: what an app on the user's telephone shares with the server. All three columns are
-- empty for a user without one.
--
-- They are columns of users, not a table of their own, because the statement that begins a session locks
-- the user's row and looks at it. So a login with the password alone cannot slip in beside the moment
-- when the second factor is turned on.
ALTER TABLE users
    -- The 20 bytes from which app and server compute the same digits (RFC 6238). The server must compute
    -- them, so it cannot store a hash. Who reads this table has the second factor, but not the password.
    ADD COLUMN totp_key BYTEA,

    -- The time step, in units of 30 s since 1970, of the last code that was used. A code of this step or
    -- an earlier one is refused, so that nobody can use a code that they have seen.
    ADD COLUMN totp_step BIGINT,

    -- SHA-256 of each recovery code that is left. A used one is taken out. With 120 random bits in each,
    -- nobody can guess a code from its hash.
    ADD COLUMN recovery_codes BYTEA[],

    ADD CONSTRAINT users_second_factor_check CHECK (
        (totp_key IS NULL) = (totp_step IS NULL)
        AND (totp_key IS NULL) = (recovery_codes IS NULL)
    );

-- With what a login proved the second factor: 'code' or 'recovery code'. Empty for a password alone.
ALTER TABLE sessions ADD COLUMN second_factor TEXT;
