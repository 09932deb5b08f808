-- Findings of a run (?1) against those of the run before it (?2), by mapping: those that only this
-- run has, those of both with other values and with the same, those that only the run before has.
select mapping, sum(fresh), sum(changed), sum(same), sum(gone)
from (
    select this.mapping,
        earlier.run is null as fresh,
        coalesce(earlier.image <> this.image, 0) as changed,
        coalesce(earlier.image = this.image, 0) as same,
        0 as gone
    from finding as this
    left join finding as earlier on earlier.identity = this.identity and earlier.run = ?2
    where this.run = ?1
    union all
    select earlier.mapping, 0, 0, 0, 1
    from finding as earlier
    where earlier.run = ?2
        and not exists (
            select 1
            from finding as this
            where this.identity = earlier.identity and this.run = ?1
        )
)
group by mapping
