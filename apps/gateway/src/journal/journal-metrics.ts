import { Counter } from 'prom-client';

export const journalStatements = new Counter({
  name: 'octo_journal_statements_total',
  help: 'SQL statements that wrote or claimed messages',
});

export const notRecorded = new Counter({
  name: 'octo_messages_not_recorded_total',
  help: 'Messages that were sent while the journal was down, and are lost to it (JOURNAL_DOWN=continue)',
});
