CREATE TABLE "provider_switches" (
	"key" text PRIMARY KEY NOT NULL,
	"state" text DEFAULT 'enabled' NOT NULL,
	"changed_at" timestamp (3) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "account_turns" (
	"quota" text NOT NULL,
	"account_id" uuid NOT NULL,
	"turn" double precision NOT NULL,
	"served" double precision NOT NULL,
	CONSTRAINT "account_turns_quota_account_id_pk" PRIMARY KEY("quota","account_id")
);
--> statement-breakpoint
DROP INDEX "messages_waiting_by_priority";--> statement-breakpoint
ALTER TABLE "accounts" ADD COLUMN "priority" smallint DEFAULT 1 NOT NULL;--> statement-breakpoint
ALTER TABLE "accounts" ADD COLUMN "free_share" text DEFAULT 'all' NOT NULL;--> statement-breakpoint
CREATE INDEX "account_turns_served" ON "account_turns" USING btree ("quota","served");--> statement-breakpoint
CREATE INDEX "accounts_with_share" ON "accounts" USING btree ("id") WHERE free_share <> 'all';--> statement-breakpoint
CREATE INDEX "messages_of_trace" ON "messages" USING btree (substr(traceparent, 4, 32),"account_id","id");--> statement-breakpoint
CREATE INDEX "messages_waiting_of_account" ON "messages" USING btree ("account_id","priority","send_by","id") WHERE status = 'waiting';--> statement-breakpoint
ALTER TABLE "accounts" ADD CONSTRAINT "accounts_free_share" CHECK ("accounts"."free_share" ~ '^(all|equal|[0-9]{1,9})$');