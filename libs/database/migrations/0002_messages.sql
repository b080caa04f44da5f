CREATE TABLE "gateway_pods" (
	"pod" text PRIMARY KEY NOT NULL,
	"recent_per_second" double precision NOT NULL,
	"usual_per_second" double precision NOT NULL,
	"seen_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "idempotency_keys" (
	"account_id" uuid NOT NULL,
	"key" text NOT NULL,
	"fingerprint" text NOT NULL,
	"message_id" uuid NOT NULL,
	"expires_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "idempotency_keys_account_id_key_pk" PRIMARY KEY("account_id","key")
);
--> statement-breakpoint
CREATE TABLE "messages" (
	"id" uuid PRIMARY KEY NOT NULL,
	"account_id" uuid NOT NULL,
	"status" text NOT NULL,
	"text" "bytea",
	"may_pay" boolean NOT NULL,
	"deliver_by" timestamp (3) with time zone,
	"send_by" timestamp (3) with time zone,
	"next_at" timestamp (3) with time zone,
	"due_at" timestamp (3) with time zone GENERATED ALWAYS AS (case when may_pay or only_provider is not null then greatest(send_by, next_at) else deliver_by end) STORED,
	"only_provider" text,
	"claimed_until" timestamp (3) with time zone,
	"callback_url" text,
	"idempotency_key" text,
	"request_id" text NOT NULL,
	"traceparent" text NOT NULL,
	"provider" text,
	"response" "bytea",
	"cost_micros" bigint NOT NULL,
	"currency" text NOT NULL,
	"reason" text,
	"detail" text,
	"created_at" timestamp (3) with time zone NOT NULL,
	"finished_at" timestamp (3) with time zone,
	"hops" jsonb NOT NULL
) PARTITION BY RANGE ("id");
--> statement-breakpoint
CREATE INDEX "idempotency_keys_by_expiry" ON "idempotency_keys" USING btree ("expires_at");--> statement-breakpoint
CREATE INDEX "messages_of_account" ON "messages" USING btree ("account_id","id");--> statement-breakpoint
CREATE INDEX "messages_undelivered" ON "messages" USING btree ("account_id","status","id") WHERE status <> 'delivered';--> statement-breakpoint
CREATE INDEX "messages_waiting" ON "messages" USING btree ("send_by","id") WHERE status = 'waiting';--> statement-breakpoint
CREATE INDEX "messages_due" ON "messages" USING btree ("due_at") WHERE status = 'waiting';--> statement-breakpoint
CREATE INDEX "messages_claimed" ON "messages" USING btree ("claimed_until") WHERE status = 'sending';
