create schema svc;
create table svc.totals (customer int, orders int, total numeric);
insert into svc.totals select n % 10, count(*), sum(n) from generate_series(1, 100) n group by 1;
update svc.totals set total = total + 0.1 where customer = 3;
update svc.totals set orders = 0 where customer = 9;
delete from svc.totals where customer = 0;
