-- Findings of a run ($1) against those of the run before it ($2), by mapping: those that only this
-- run has, those of both with other values and with the same, those that only the run before has.
with this as (
    select mapping, identity, image from finding where run = $1
), earlier as (
    select mapping, identity, image from finding where run = $2
)
select mapping, sum(fresh) as fresh, sum(changed) as changed, sum(same) as same, sum(gone) as gone
from (
    select this.mapping,
        case when earlier.image is null then 1 else 0 end as fresh,
        case when earlier.image <> this.image then 1 else 0 end as changed,
        case when earlier.image = this.image then 1 else 0 end as same,
        0 as gone
    from this
    left join earlier on earlier.identity = this.identity
    union all
    select earlier.mapping, 0, 0, 0, 1
    from earlier
    where not exists (select 1 from this where this.identity = earlier.identity)
) as counted
group by mapping
