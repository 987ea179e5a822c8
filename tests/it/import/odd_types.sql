-- Columns that can have the odd values, and defaults, so that a case names only its column.
ALTER TABLE instance DROP CONSTRAINT instance_user_id_fkey, DROP CONSTRAINT instance_node_id_fkey,
    ALTER user_id SET DEFAULT 1, ALTER node_id SET DEFAULT 1, ALTER name SET DEFAULT 'i',
    ALTER status TYPE text, ALTER vdi_port DROP DEFAULT, ALTER vdi_port TYPE text;
ALTER TABLE auth_user ALTER username TYPE text, ALTER is_locked TYPE text,
    ALTER username SET DEFAULT random(), ALTER is_locked SET DEFAULT 'f',
    ALTER password SET DEFAULT repeat('b', 40);
ALTER TABLE node ALTER ip TYPE text
