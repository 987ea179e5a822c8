-- NULL keeps a value; `?9` and the following parameters remove it.
UPDATE instances SET
    user_id = iif(?9, NULL, ifnull(?1, user_id)),
    node_id = iif(?10, NULL, ifnull(?2, node_id)),
    name = ifnull(?3, name),
    summary = iif(?11, NULL, ifnull(?4, summary)),
    status = ifnull(?5, status),
    vdi_type = ifnull(?6, vdi_type),
    vdi_port = iif(?12, NULL, ifnull(?7, vdi_port))
WHERE id = ?8 RETURNING id
