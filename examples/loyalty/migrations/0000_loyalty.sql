CREATE SCHEMA loyalty;
CREATE TABLE loyalty.users (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  login text NOT NULL UNIQUE,
  password_hash text NOT NULL,
  -- The sum of the user's entries, changed in the statement that adds an entry. Hundredths of a point, like all amounts.
  balance bigint NOT NULL DEFAULT 0 CHECK (balance >= 0),
  withdrawn bigint NOT NULL DEFAULT 0
);
CREATE TABLE loyalty.orders (
  number text PRIMARY KEY,
  user_id uuid NOT NULL REFERENCES loyalty.users,
  status text NOT NULL DEFAULT 'NEW' CHECK (status IN ('NEW', 'PROCESSING', 'INVALID', 'PROCESSED')),
  accrual bigint,
  uploaded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  -- Checks that brought no final status.
  checks integer NOT NULL DEFAULT 0,
  -- When to check next; a claim moves it to the end of the claim. Null for a final order.
  due_at timestamptz DEFAULT now(),
  -- The earliest goes first: due_at, plus the delay before it. So an order that waits for seconds passes one that waits for hours.
  late_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX orders_of_user ON loyalty.orders (user_id, uploaded_at);
CREATE INDEX orders_due ON loyalty.orders (due_at) WHERE due_at IS NOT NULL;
CREATE TABLE loyalty.entries (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  user_id uuid NOT NULL REFERENCES loyalty.users,
  order_number text NOT NULL,
  -- Accruals are positive, withdrawals negative.
  amount bigint NOT NULL CHECK (amount <> 0),
  created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX entries_of_user ON loyalty.entries (user_id, created_at);
CREATE UNIQUE INDEX one_accrual_per_order ON loyalty.entries (order_number) WHERE amount > 0;
