-- Columns that can have the odd values.
ALTER TABLE instance DROP CONSTRAINT instance_user_id_fkey,
    DROP CONSTRAINT instance_node_id_fkey, ALTER status TYPE text,
    ALTER vdi_port DROP DEFAULT, ALTER vdi_port TYPE text;
ALTER TABLE auth_user ALTER username TYPE text, ALTER is_locked TYPE text;
ALTER TABLE node ALTER ip TYPE text;
