-- The checks that have reached the base aggregate.
SELECT coalesce(sum(checks), 0)::bigint FROM checks_15m WHERE bucket < {watermark}()
