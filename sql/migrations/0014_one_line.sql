-- One rule for every text on one line, the same as in sla_monitor/one_line.py: no controls, no line breaks, nothing that turns the
-- reading direction. Joiners, no-break spaces, soft hyphens, variation selectors and flags are text like any other.
CREATE FUNCTION fits_one_line(text text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN text COLLATE "C" !~ '[\u0001-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]';

COMMENT ON FUNCTION fits_one_line(text) IS 'whether a text holds nothing that a text on one line may not hold';

-- White space and what Unicode calls default ignorable cannot be seen.
CREATE FUNCTION is_label(text text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN fits_one_line(text)
       AND text COLLATE "C" ~ ('[^\u0009-\u000d\u001c-\u0020\u0085\u00a0\u00ad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f'
                               '\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0'
                               '\U000e0000-\U000e0fff]');

COMMENT ON FUNCTION is_label(text) IS 'whether a text can name something: it fits on one line, and something of it can be seen';

CREATE FUNCTION are_labels(texts text[]) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (SELECT coalesce(bool_and(is_label(text)), true) FROM unnest(texts) AS given (text));

-- Rows that are there already are checked further down, once they have been mended.
SET CONSTRAINTS ALL IMMEDIATE;

ALTER TABLE services
    DROP CONSTRAINT services_name,
    ADD CONSTRAINT services_name CHECK (length(name) BETWEEN 1 AND 100 AND is_label(name)) NOT VALID,
    DROP CONSTRAINT services_group_name,
    ADD CONSTRAINT services_group_name CHECK (length(group_name) BETWEEN 1 AND 100 AND is_label(group_name)) NOT VALID,
    DROP CONSTRAINT services_tags,
    ADD CONSTRAINT services_tags CHECK (cardinality(tags) <= 50 AND are_labels(tags)) NOT VALID,
    DROP CONSTRAINT services_keyword,
    ADD CONSTRAINT services_keyword CHECK (length(keyword) BETWEEN 1 AND 1000 AND fits_one_line(keyword)) NOT VALID,
    DROP CONSTRAINT services_keyword_absent,
    ADD CONSTRAINT services_keyword_absent
        CHECK (length(keyword_absent) BETWEEN 1 AND 1000 AND fits_one_line(keyword_absent)) NOT VALID,
    DROP CONSTRAINT services_json_path,
    ADD CONSTRAINT services_json_path
        CHECK (length(json_path) BETWEEN 1 AND 500 AND fits_one_line(json_path)
               AND json_path ~ $re$^\$(\.[^].['"]+|\[[0-9]{1,9}\]|\['[^']*'\]|\["[^"]*"\])*$$re$) NOT VALID,
    DROP CONSTRAINT services_json_value,
    ADD CONSTRAINT services_json_value CHECK (length(json_value) <= 1000 AND fits_one_line(json_value)) NOT VALID;

ALTER TABLE incidents
    DROP CONSTRAINT incidents_title,
    ADD CONSTRAINT incidents_title CHECK (length(title) BETWEEN 1 AND 255 AND is_label(title)) NOT VALID,
    DROP CONSTRAINT incidents_reporter,
    ADD CONSTRAINT incidents_reporter CHECK (length(reporter) <= 100 AND fits_one_line(reporter)) NOT VALID;

ALTER TABLE templates
    DROP CONSTRAINT templates_name,
    ADD CONSTRAINT templates_name CHECK (length(name) BETWEEN 1 AND 100 AND is_label(name)) NOT VALID,
    DROP CONSTRAINT templates_title,
    ADD CONSTRAINT templates_title CHECK (length(title) BETWEEN 1 AND 255 AND is_label(title)) NOT VALID;

ALTER TABLE maintenance_windows
    DROP CONSTRAINT maintenance_windows_title,
    ADD CONSTRAINT maintenance_windows_title CHECK (length(title) BETWEEN 1 AND 255 AND is_label(title)) NOT VALID;

ALTER TABLE api_tokens
    DROP CONSTRAINT api_tokens_name,
    ADD CONSTRAINT api_tokens_name CHECK (length(name) BETWEEN 1 AND 100 AND is_label(name)) NOT VALID;

-- Titles of incidents could hold anything until now, and so could whatever was written past the API.
CREATE FUNCTION put_on_one_line(text text) RETURNS text
    LANGUAGE sql IMMUTABLE
    RETURN regexp_replace(regexp_replace(text COLLATE "C", '[\u0009-\u000d\u0085\u2028\u2029]+', ' ', 'g'),
                          '[\u0001-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]', U&'\FFFD', 'g');

CREATE FUNCTION make_label(text text) RETURNS text
    LANGUAGE sql IMMUTABLE
    RETURN CASE WHEN is_label(put_on_one_line(text)) THEN put_on_one_line(text) ELSE U&'\FFFD' END;

UPDATE services
SET name = make_label(name),
    group_name = CASE WHEN group_name IS NOT NULL THEN make_label(group_name) END,
    tags = ARRAY(SELECT make_label(tag) FROM unnest(tags) WITH ORDINALITY AS given (tag, number) ORDER BY number),
    keyword = put_on_one_line(keyword),
    keyword_absent = put_on_one_line(keyword_absent),
    json_path = put_on_one_line(json_path),
    json_value = put_on_one_line(json_value)
WHERE NOT (is_label(name) AND coalesce(is_label(group_name), true) AND are_labels(tags)
           AND fits_one_line(concat(keyword, keyword_absent, json_path, json_value)));

UPDATE incidents
SET title = make_label(title),
    reporter = put_on_one_line(reporter)
WHERE NOT (is_label(title) AND coalesce(fits_one_line(reporter), true));

-- A part of its id keeps a name apart from others that look the same now.
UPDATE templates
SET name = CASE WHEN is_label(name) THEN name ELSE left(make_label(name), 90) || ' ' || left(id::text, 8) END,
    title = make_label(title)
WHERE NOT (is_label(name) AND is_label(title));

UPDATE maintenance_windows
SET title = make_label(title)
WHERE NOT is_label(title);

UPDATE api_tokens
SET name = left(make_label(name), 90) || ' ' || left(id::text, 8)
WHERE NOT is_label(name);

-- What these changes are announced by is due now: a table with something pending cannot be altered.
SET CONSTRAINTS ALL IMMEDIATE;

ALTER TABLE services
    VALIDATE CONSTRAINT services_name,
    VALIDATE CONSTRAINT services_group_name,
    VALIDATE CONSTRAINT services_tags,
    VALIDATE CONSTRAINT services_keyword,
    VALIDATE CONSTRAINT services_keyword_absent,
    VALIDATE CONSTRAINT services_json_path,
    VALIDATE CONSTRAINT services_json_value;
ALTER TABLE incidents
    VALIDATE CONSTRAINT incidents_title,
    VALIDATE CONSTRAINT incidents_reporter;
ALTER TABLE templates
    VALIDATE CONSTRAINT templates_name,
    VALIDATE CONSTRAINT templates_title;
ALTER TABLE maintenance_windows
    VALIDATE CONSTRAINT maintenance_windows_title;
ALTER TABLE api_tokens
    VALIDATE CONSTRAINT api_tokens_name;

SET CONSTRAINTS ALL DEFERRED;

DROP FUNCTION make_label(text);
DROP FUNCTION put_on_one_line(text);
