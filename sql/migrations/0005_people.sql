-- Who may do what, and who did it.

-- Weakest first: least() of a token's role and its owner's is what the token may do.
CREATE TYPE user_role AS ENUM ('viewer', 'reporter', 'admin');

CREATE TABLE users (
    id            uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    username      text        NOT NULL CONSTRAINT users_username CHECK (username ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,49}$'),
    email         text        NOT NULL
        CONSTRAINT users_email CHECK (email ~ '^[^@[:space:][:cntrl:]]+@[^@[:space:][:cntrl:]]+$' AND length(email) <= 100),
    password_hash text        NOT NULL,
    role          user_role   NOT NULL DEFAULT 'viewer',
    active        boolean     NOT NULL DEFAULT true,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    last_login_at timestamptz
);

-- Nobody is to be confused with somebody whose name differs in its capitals.
CREATE UNIQUE INDEX users_username_taken ON users (lower(username));
CREATE UNIQUE INDEX users_email_taken ON users (lower(email));

COMMENT ON COLUMN users.password_hash IS 'argon2id, with its salt and costs';

-- One login, from then until it is logged out of: the family of all refresh tokens that follow from it.
CREATE TABLE sessions (
    id         uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id    uuid        NOT NULL REFERENCES users ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz,
    address    inet,
    user_agent text
);

CREATE INDEX sessions_user_id ON sessions (user_id);
CREATE INDEX sessions_ended_at ON sessions (least(expires_at, revoked_at));

-- Each works once. One that comes back after it was used was stolen, or its successor was: the session ends.
CREATE TABLE refresh_tokens (
    token_hash bytea       PRIMARY KEY,
    session_id uuid        NOT NULL REFERENCES sessions ON DELETE CASCADE,
    issued_at  timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    used_at    timestamptz
);

CREATE INDEX refresh_tokens_session_id ON refresh_tokens (session_id);
CREATE INDEX refresh_tokens_expires_at ON refresh_tokens (expires_at);

COMMENT ON COLUMN refresh_tokens.token_hash IS 'SHA-256: the tokens hold 128 random bits, so a slow hash would add nothing';

-- For machines. A token lives and dies with its owner, and never may more than its owner may.
CREATE TABLE api_tokens (
    id             uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    owner_id       uuid        NOT NULL REFERENCES users ON DELETE CASCADE,
    name           text        NOT NULL CONSTRAINT api_tokens_name CHECK (length(name) BETWEEN 1 AND 100),
    role           user_role   NOT NULL,
    token_hash     bytea       NOT NULL UNIQUE,
    created_at     timestamptz NOT NULL DEFAULT now(),
    expires_at     timestamptz,
    last_used_at   timestamptz,
    last_used_from inet,
    revoked_at     timestamptz
);

CREATE UNIQUE INDEX api_tokens_name_taken ON api_tokens (owner_id, name) WHERE revoked_at IS NULL;

-- Where somebody has logged in from: these addresses are let through while strangers try passwords on that account. Of IPv6
-- the network (see known_as): a household has 2^64 addresses and changes them daily.
CREATE TABLE known_addresses (
    user_id       uuid        NOT NULL REFERENCES users ON DELETE CASCADE,
    address       inet        NOT NULL,
    last_login_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, address)
);

CREATE INDEX known_addresses_last_login_at ON known_addresses (last_login_at);

-- What no one should see: the key that tokens are signed with, where JWT_SECRET is not given.
CREATE TABLE secrets (
    name  text PRIMARY KEY,
    value text NOT NULL
);

-- How often somebody did something within a window. Unlogged: a crash forgets the counts, and counting waits for no disk.
CREATE UNLOGGED TABLE rate_limits (
    limit_name text        NOT NULL,
    client     text        NOT NULL,
    count      integer     NOT NULL,
    resets_at  timestamptz NOT NULL,
    PRIMARY KEY (limit_name, client)
) WITH (fillfactor = 50);

CREATE INDEX rate_limits_resets_at ON rate_limits (resets_at);

CREATE TABLE audit_entries (
    id          bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    occurred_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor_kind  text        NOT NULL CHECK (actor_kind IN ('user', 'token', 'operator', 'anonymous', 'program')),
    actor_id    uuid,
    actor       text        NOT NULL,
    address     inet,
    request_id  text,
    action      text        NOT NULL,
    object_type text        NOT NULL,
    object_id   text        NOT NULL,
    before      jsonb,
    after       jsonb
);

CREATE INDEX audit_entries_object ON audit_entries (object_type, object_id, id);
CREATE INDEX audit_entries_actor ON audit_entries (actor_id, id);
CREATE INDEX audit_entries_occurred_at ON audit_entries (occurred_at);

COMMENT ON COLUMN audit_entries.actor IS 'the name at that time; it stays when the user is deleted';
COMMENT ON COLUMN audit_entries.before IS 'the columns that changed, as they were; secrets are masked';
