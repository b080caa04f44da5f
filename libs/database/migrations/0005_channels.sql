ALTER TABLE "messages" ADD COLUMN "is_json" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "messages" ADD COLUMN "channel" text DEFAULT 'default' NOT NULL;--> statement-breakpoint
ALTER TABLE "messages" ADD COLUMN "account" text;--> statement-breakpoint
ALTER TABLE "messages" ADD COLUMN "response_is_json" boolean DEFAULT false NOT NULL;