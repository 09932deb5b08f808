-- The quickstart's monolith: a logistics application's tables, named and typed as Django leaves them.
--
-- Every value is arithmetic on the row's number, so that tracking.sql can say the same rows in the
-- service's shape without either file reading the other.

create table shipments_shipment (
    id           bigserial primary key,
    tracking_no  varchar(20) not null unique,
    status       varchar(16) not null,
    first_name   varchar(80) not null,
    last_name    varchar(80) not null,
    weight_kg    numeric(8, 3) not null,
    customs      jsonb not null,
    label_pdf    bytea,
    delivered_at timestamptz,
    created_at   timestamptz not null,
    updated_at   timestamptz not null
);

create table shipments_event (
    id          bigserial primary key,
    shipment_id bigint not null references shipments_shipment,
    code        varchar(12) not null,
    location    varchar(80) not null,
    occurred_at timestamptz not null
);

create table shipments_charge (
    id          bigserial primary key,
    shipment_id bigint not null references shipments_shipment,
    kind        varchar(12) not null,
    amount      numeric(10, 2) not null,
    currency    char(3) not null,
    booked_on   date not null
);

insert into shipments_shipment
select n,
    'PGR' || lpad(n::text, 6, '0'),
    status,
    (array['Ada', 'Bram', 'Chloé', 'Dilek', 'Emil', 'Fatou', 'Grete'])[1 + n % 7],
    (array['Okafor', 'de Vries', 'Lindqvist', 'Yıldız', 'Nowak'])[1 + n % 5],
    (250 + n * 37 % 24000) / 1000.0,
    case n % 3
        when 0 then jsonb_build_object('origin', 'NO', 'value', n * 3, 'currency', 'EUR')
        else '{}'
    end,
    decode('255044462d', 'hex'),
    case status when 'DELIVERED' then created_at + n % 72 * interval '1 hour 1.618034 seconds' end,
    created_at,
    created_at + n % 72 * interval '1 hour 1.618034 seconds'
from generate_series(1, 2000) n,
    lateral (select
        timestamptz '2026-03-02 06:00:00.271828+00' + n * interval '7 minutes' as created_at,
        case
            when n % 40 = 0 then 'DRAFT'
            when n % 10 = 1 then 'CREATED'
            when n % 10 = 3 then 'IN_TRANSIT'
            when n % 25 = 7 then 'RETURNED'
            else 'DELIVERED'
        end as status) as made;

-- Three events a shipment.
insert into shipments_event
select n,
    s.id,
    (array['PICKED_UP', 'SORTED', 'SCANNED'])[1 + n % 3],
    (array['Rotterdam', 'Gdańsk', 'Göteborg', 'Lille', 'İzmir'])[1 + n % 5],
    s.created_at + n % 3 * interval '5 hours 13.141593 seconds'
from generate_series(1, 6000) n
join shipments_shipment s on s.id = 1 + (n - 1) / 3 and s.status <> 'DRAFT';

-- Freight for everyone, and a refund for every eighth.
insert into shipments_charge
select row_number() over (order by s.id, kind),
    s.id,
    kind,
    case kind when 'REFUND' then -1 else 1 end * (490 + s.id * 13 % 9000) / 100.0,
    'EUR',
    (s.created_at at time zone 'UTC')::date
from shipments_shipment s, unnest(array['FREIGHT', 'REFUND']) kind
where s.status <> 'DRAFT' and (kind = 'FREIGHT' or s.id % 8 = 0);

analyze;

-- All that a comparison needs: to see the tables of the spec, and nothing else.
create role reader login;
grant usage on schema public to reader;
grant select on shipments_shipment, shipments_event, shipments_charge to reader;
