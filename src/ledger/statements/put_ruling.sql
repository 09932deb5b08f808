insert into ruling (run, mapping, place, ruled)
values ($1, $2, $3, $4)
on conflict (run, mapping, place) do update set ruled = excluded.ruled
