insert into run (id, verb, spec, spec_hash, scope, started_at, record, began)
values ($1, $2, $3, $4, $5, $6, $7, $8)
on conflict (id) do nothing
returning number, began
