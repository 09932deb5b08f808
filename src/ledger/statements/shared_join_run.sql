insert into run (id, verb, spec, spec_hash, scope, started_at, record)
values ($1, $2, $3, $4, $5, $6, $7)
on conflict (id) do nothing
returning number, began
