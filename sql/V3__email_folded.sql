-- What finds an account by its email: the email folded to lower case by the program, in the same
-- way for every cluster. PostgreSQL's own lower() depends on the cluster's locale. Under "C" it leaves
-- É alone, so that two accounts had one address; elsewhere it makes i of İ, which the program does not.
--
-- TEXT, because lower case can be longer than what was typed. Empty until the program, after this
-- migration and before the next, has folded the emails that there are.
ALTER TABLE users ADD COLUMN email_folded TEXT;
