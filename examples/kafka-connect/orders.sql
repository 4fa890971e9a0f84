-- A shop's table of what was bought, in PostgreSQL with wal_level = logical.
CREATE TABLE order_lines (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_number text NOT NULL,
    customer_id text NOT NULL,
    item_id text NOT NULL,
    quantity integer NOT NULL DEFAULT 1,
    bought_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO order_lines (order_number, customer_id, item_id, bought_at) VALUES
    ('1001', 'ann', 'tea', '2026-01-31 12:00:00+00'),
    ('1001', 'ann', 'milk', '2026-01-31 12:00:00+00'),
    ('1002', 'bob', 'tea', '2026-01-31 12:05:00+00'),
    ('1002', 'bob', 'milk', '2026-01-31 12:05:00+00'),
    ('1003', 'eve', 'tea', '2026-01-31 12:10:00+00');
