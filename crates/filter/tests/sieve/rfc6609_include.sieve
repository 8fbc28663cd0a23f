# RFC 6609 §3.2: three scripts; variables are each one's own, but for those declared global.
require ["include", "variables", "fileinto"];
global ["test"];
set "test" "$$";
set "own" "outer";
include :personal "inner";
fileinto "back ${test} ${own} ${global.other}";
include :once "inner";
include :optional "missing";
include :global "site";
keep;
/*
== script inner
require ["include", "variables", "fileinto"];
global ["test", "other"];
fileinto "inner ${test}${own}";
set "test" "changed";
set "global.other" "set";
set "own" "inner";
return;
discard;
== script global site
require ["fileinto"];
fileinto "site";
stop;
== expect
fileinto "inner $$"
fileinto "back changed outer set"
fileinto "site"
*/
