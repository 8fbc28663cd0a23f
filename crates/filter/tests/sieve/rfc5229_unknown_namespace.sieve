require ["variables", "fileinto"];
fileinto "${envelope.from}";
set "1" "x";
set :upper :lower "a" "x";
/*
== expect
fault 2:10
fault 3:5
fault 4:12
*/
