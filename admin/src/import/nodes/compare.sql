-- The source's nodes as they have to be here.
CREATE TEMP TABLE wanted_nodes (id INTEGER PRIMARY KEY, hostname, ip, notes);

INSERT INTO wanted_nodes
SELECT id, hostname,
    host(ip),
    concat_ws(char(10),
        iif(ifnull(hostname, '') = '', 'without a name', NULL),
        iif(ifnull(bare(ip), '') = '',
            'without an IP address: their instances have no host', NULL),
        iif(bare(ip) <> '' AND host(ip) IS NULL,
            'whose ip is no address and no host name: their instances have no host', NULL),
        iif(ip <> host(ip), 'whose ip lost white space, brackets or a netmask', NULL),
        iif(is_replaced, 'with bytes that are not UTF-8: each is U+FFFD here', NULL))
FROM node;

INSERT INTO odd SELECT 'nodes', id, notes FROM wanted_nodes WHERE notes <> '';

-- What has to change here, in the order in which it is written.
CREATE TEMP TABLE nodes_difference (position INTEGER PRIMARY KEY, kind, id);

INSERT INTO nodes_difference (kind, id)
SELECT iif(o.id IS NULL, 'inserted', 'changed') AS kind, w.id
FROM wanted_nodes w LEFT JOIN nodes o ON o.id = w.id
WHERE o.id IS NULL OR (o.hostname, o.ip) IS NOT (w.hostname, w.ip)
ORDER BY kind, w.id;

INSERT INTO nodes_difference (kind, id)
SELECT 'deleted', id FROM nodes WHERE id NOT IN (SELECT id FROM wanted_nodes);

CREATE TEMP VIEW nodes_to_write AS
SELECT position AS key, json_array(id, hostname, ip) AS line
FROM nodes_difference JOIN wanted_nodes USING (id) WHERE kind <> 'deleted';

CREATE TEMP VIEW nodes_to_delete AS
SELECT position AS key, json_array(id) AS line FROM nodes_difference WHERE kind = 'deleted';
