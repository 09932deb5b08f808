create table orders (id serial primary key, customer int, amount numeric(10, 2));
insert into orders (customer, amount) select n % 10, n from generate_series(1, 100) n;
