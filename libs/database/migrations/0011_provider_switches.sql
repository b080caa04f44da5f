CREATE TABLE "provider_switches" (
	"key" text PRIMARY KEY NOT NULL,
	"state" text DEFAULT 'enabled' NOT NULL,
	"changed_at" timestamp (3) with time zone DEFAULT now() NOT NULL
);
