-- The four tables of the TRD, with its types and indexes. Each service has `rows_of_today` response times of today, and its uptime
-- record of today: the TRD's own statement for that record fails if two checks of a service run it at the same time.
CREATE SCHEMA trd;
CREATE TABLE trd.watch_server_logs (
    id serial PRIMARY KEY, service_id varchar(50) NOT NULL REFERENCES services, check_time timestamptz NOT NULL DEFAULT now(),
    status_code integer, response_time integer, is_success boolean NOT NULL, error_message text, error_type varchar(50)
);
CREATE INDEX ON trd.watch_server_logs (service_id, check_time DESC);
CREATE INDEX ON trd.watch_server_logs (check_time, is_success);
CREATE TABLE trd.api_response_times (
    id serial PRIMARY KEY, service_id varchar(50) NOT NULL REFERENCES services, response_time integer NOT NULL,
    status_code integer NOT NULL, endpoint varchar(255), method varchar(10) NOT NULL DEFAULT 'GET',
    "timestamp" timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON trd.api_response_times (service_id, "timestamp" DESC);
CREATE INDEX ON trd.api_response_times ("timestamp", status_code);
CREATE TABLE trd.uptime_records (
    id serial PRIMARY KEY, service_id varchar(50) NOT NULL REFERENCES services, date date NOT NULL, status varchar(10) NOT NULL,
    response_time integer, error_message text, created_at timestamptz NOT NULL DEFAULT now(), UNIQUE (service_id, date)
);
CREATE INDEX ON trd.uptime_records (service_id, date DESC);
CREATE TABLE trd.api_call_logs (
    id serial PRIMARY KEY, service_id varchar(50) NOT NULL REFERENCES services, date date NOT NULL,
    total_calls integer NOT NULL DEFAULT 0, success_calls integer NOT NULL DEFAULT 0, error_calls integer NOT NULL DEFAULT 0,
    avg_response_time integer, max_response_time integer, min_response_time integer,
    created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL, UNIQUE (service_id, date)
);
INSERT INTO trd.api_response_times (service_id, response_time, status_code, endpoint, "timestamp")
SELECT 'service-' || service, (100 + 50 * random())::integer, 200, '/health',
       date_trunc('day', now()) + minute * interval '1 minute'
FROM generate_series(1, {services}) AS service, generate_series(1, {rows_of_today}) AS minute;
INSERT INTO trd.uptime_records (service_id, date, status, response_time)
SELECT 'service-' || service, (now() AT TIME ZONE 'UTC')::date, 'o', 120
FROM generate_series(1, {services}) AS service;
ANALYZE trd.api_response_times
