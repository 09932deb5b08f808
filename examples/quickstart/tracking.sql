-- The quickstart's service: what the monolith holds, in the shape that its new owner has given it, and
-- a handful of rows that went wrong on the way.
--
-- The lines that begin with "-- planted:" name the mapping, the kind and the key of every difference;
-- quickstart.sh holds the report against them.

create schema tracking;

create type tracking.state as enum ('created', 'in_transit', 'delivered', 'returned');

create table tracking.shipment (
    shipment_id     bigint primary key,
    tracking_number text not null,
    state           tracking.state not null,
    recipient       text not null,
    weight_grams    integer not null,
    customs         jsonb not null,
    delivered_at    timestamptz,
    created_at      timestamptz not null,
    updated_at      timestamptz not null,
    ingested_at     timestamptz not null default now()
);

create table tracking.event (
    event_id    bigint primary key,
    shipment_id bigint not null,
    code        text not null,
    place       text not null,
    occurred_at timestamptz not null
);

create table tracking.charge (
    charge_id   bigint primary key,
    shipment_id bigint not null,
    kind        text not null,
    amount      numeric(12, 2) not null,
    currency    text not null,
    booked_on   date not null
);

insert into tracking.shipment
select n,
    'PGR' || lpad(n::text, 6, '0'),
    state::tracking.state,
    (array['Ada', 'Bram', 'Chloé', 'Dilek', 'Emil', 'Fatou', 'Grete'])[1 + n % 7] || ' '
        || (array['Okafor', 'de Vries', 'Lindqvist', 'Yıldız', 'Nowak'])[1 + n % 5],
    250 + n * 37 % 24000,
    case n % 3
        when 0 then jsonb_build_object('value', n * 3, 'currency', 'EUR', 'origin', 'NO')
        else '{}'
    end,
    case state when 'delivered' then created_at + n % 72 * interval '1 hour 1.618034 seconds' end,
    created_at,
    created_at + n % 72 * interval '1 hour 1.618034 seconds'
from generate_series(1, 2000) n,
    lateral (select
        timestamptz '2026-03-02 06:00:00.271828+00' + n * interval '7 minutes' as created_at,
        case
            when n % 10 = 1 then 'created'
            when n % 10 = 3 then 'in_transit'
            when n % 25 = 7 then 'returned'
            else 'delivered'
        end as state) as made
where n % 40 <> 0;

insert into tracking.event
select n,
    s.shipment_id,
    (array['PICKED_UP', 'SORTED', 'SCANNED'])[1 + n % 3],
    (array['Rotterdam', 'Gdańsk', 'Göteborg', 'Lille', 'İzmir'])[1 + n % 5],
    s.created_at + n % 3 * interval '5 hours 13.141593 seconds'
from generate_series(1, 6000) n
join tracking.shipment s on s.shipment_id = 1 + (n - 1) / 3;

insert into tracking.charge
select row_number() over (order by s.shipment_id, kind),
    s.shipment_id,
    kind,
    case kind when 'REFUND' then -1 else 1 end * (490 + s.shipment_id * 13 % 9000) / 100.0,
    'EUR',
    (s.created_at at time zone 'UTC')::date
from tracking.shipment s, unnest(array['FREIGHT', 'REFUND']) kind
where kind = 'FREIGHT' or s.shipment_id % 8 = 0;

-- The second write was lost: the monolith has delivered this one, the service never heard of it.
-- planted: shipment mismatch 1044
update tracking.shipment
set state = 'in_transit', delivered_at = null, updated_at = created_at
where shipment_id = 1044;

-- A form of the service's own did not trim what was pasted into it.
-- planted: shipment mismatch 377
update tracking.shipment set tracking_number = tracking_number || ' ' where shipment_id = 377;

-- The service was called, then the monolith's transaction rolled back.
-- planted: shipment only_in_target 2001
insert into tracking.shipment
values (2001, 'PGR002001', 'created', 'Ada Okafor', 1250, '{}', null,
    '2026-03-12 09:41:07.118034+00', '2026-03-12 09:41:07.118034+00');

-- The call timed out, and nobody tried again.
-- planted: event only_in_source 5126
delete from tracking.event where event_id = 5126;

-- A client library of the service's cuts times to whole seconds.
-- planted: event mismatch 3107
update tracking.event set occurred_at = date_trunc('second', occurred_at) where event_id = 3107;

-- A refund was booked with the sign of a charge.
-- planted: charge mismatch 620
update tracking.charge set amount = abs(amount) where charge_id = 620;

analyze;

-- All that a comparison needs: to see the tables of the spec, and nothing else.
create role reader login;
grant usage on schema tracking to reader;
grant select on tracking.shipment, tracking.event, tracking.charge to reader;
