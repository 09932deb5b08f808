create table t (id int primary key, j json, x xml, p point, b box, c circle, bits bit(3), vb varbit, v tsvector, q tsquery);
insert into t values (1, '{"a": 1}', '<a/>', '(1,2)', '(1,1,0,0)', '<(0,0),1>', B'101', B'1', 'a b', 'a & b'),
 (2, '{"a": 1}', '<a/>', '(0,0.0000001)', '(1,2,0,0)', '<(0,0),1>', B'100', B'1', 'a:1', 'b'), (3, null, null, null, null, null, null, null, null, null);
