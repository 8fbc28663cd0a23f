# RFC 5229 §4, the example.
require ["variables", "fileinto"];
set "honorific" "Mr";
set "first_name" "Wile";
set "last_name" "Coyote";
set "vacation" "Dear ${HONORIFIC} ${last_name}, I'm out";
fileinto "${vacation}";
set "a" "juMBlEd lETteRS";
set :length "b" "${a}";
set :lower "b1" "${a}";
set :upperfirst "c" "${a}";
set :upperfirst :lower "d" "${a}";
fileinto "${b} ${b1} ${c} ${d}";
/*
== expect
fileinto "Dear Mr Coyote, I'm out"
fileinto "15 jumbled letters JuMBlEd lETteRS Jumbled letters"
*/
