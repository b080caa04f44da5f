-- In two statements: earlier rows keep null, instead of the time of the migration.
ALTER TABLE "messages" ADD COLUMN "written_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "messages" ALTER COLUMN "written_at" SET DEFAULT now();
