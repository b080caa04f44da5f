CREATE TABLE "account_turns" (
	"account_id" uuid PRIMARY KEY NOT NULL,
	"turn" double precision NOT NULL,
	"started" double precision NOT NULL
);
--> statement-breakpoint
DROP INDEX "messages_waiting_by_priority";--> statement-breakpoint
ALTER TABLE "accounts" ADD COLUMN "priority" smallint DEFAULT 1 NOT NULL;--> statement-breakpoint
ALTER TABLE "accounts" ADD COLUMN "free_share" text DEFAULT 'all' NOT NULL;--> statement-breakpoint
CREATE INDEX "account_turns_by_start" ON "account_turns" USING btree ("started");--> statement-breakpoint
CREATE INDEX "accounts_with_share" ON "accounts" USING btree ("id") WHERE free_share <> 'all';--> statement-breakpoint
CREATE INDEX "messages_waiting_of_account" ON "messages" USING btree ("account_id","priority","send_by","id") WHERE status = 'waiting';--> statement-breakpoint
ALTER TABLE "accounts" ADD CONSTRAINT "accounts_free_share" CHECK ("accounts"."free_share" ~ '^(all|equal|[0-9]{1,9})$');