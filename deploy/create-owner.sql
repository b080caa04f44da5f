-- Runs once, in a new database: the role of auth, which owns the database and creates the role of the gateways.
\set password `cat /secrets/owner-password`
create role octo login createrole password :'password';
alter database octo owner to octo;
