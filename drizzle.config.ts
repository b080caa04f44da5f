// For drizzle-kit, which is run by hand and is no dependency:
//   npm install --no-save drizzle-kit@0.31.11 && npx drizzle-kit generate --name what_changed
export default {
  dialect: 'postgresql',
  schema: ['accounts', 'sessions', 'account-security', 'api-keys', 'providers', 'callbacks', 'messages', 'ledger'].map(
    (domain) => `./libs/database/src/${domain}.ts`,
  ),
  out: './libs/database/migrations',
};
