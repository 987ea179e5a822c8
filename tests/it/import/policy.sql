-- Lets the user clerk read one row of auth_user; auditor bypasses this.
GRANT SELECT ON auth_user, node, instance TO clerk, auditor;
CREATE POLICY one ON auth_user USING (id = 1);
ALTER TABLE auth_user ENABLE ROW LEVEL SECURITY
