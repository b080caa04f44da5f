CREATE TABLE "ledger_entries" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"message_id" uuid NOT NULL,
	"kind" text NOT NULL,
	"account_id" uuid NOT NULL,
	"channel" text NOT NULL,
	"provider" text NOT NULL,
	"provider_account" text NOT NULL,
	"amount_micros" bigint NOT NULL,
	"currency" text NOT NULL,
	"day" date NOT NULL,
	"written_at" timestamp (3) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
ALTER TABLE "accounts" ADD COLUMN "budget_day_micros" bigint;--> statement-breakpoint
ALTER TABLE "accounts" ADD COLUMN "budget_month_micros" bigint;--> statement-breakpoint
CREATE UNIQUE INDEX "ledger_entries_once" ON "ledger_entries" USING btree ("message_id","kind","provider","provider_account");--> statement-breakpoint
CREATE INDEX "ledger_entries_of_account" ON "ledger_entries" USING btree ("account_id","day");--> statement-breakpoint
CREATE INDEX "ledger_entries_by_day" ON "ledger_entries" USING btree ("day");--> statement-breakpoint
CREATE INDEX "ledger_entries_unconfirmed" ON "ledger_entries" USING btree ("written_at") WHERE kind = 'unconfirmed';--> statement-breakpoint
-- What messages cost before there was a ledger.
INSERT INTO "ledger_entries" ("message_id", "kind", "account_id", "channel", "provider", "provider_account", "amount_micros", "currency", "day")
SELECT "id", 'paid', "account_id", "channel", "provider", coalesce("account", "provider"), "cost_micros", "currency", (coalesce("finished_at", "created_at") AT TIME ZONE 'UTC')::date
FROM "messages" WHERE "status" = 'delivered' AND "cost_micros" > 0 AND "provider" IS NOT NULL;
