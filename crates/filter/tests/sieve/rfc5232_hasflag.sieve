require ["fileinto", "imap4flags", "variables", "relational", "comparator-i;ascii-numeric"];
setflag "MyVar" ["A", "B c"];
addflag "\\Seen";
if hasflag :contains "MyVar" "b" { fileinto "1"; }
if hasflag :is "MyVar" "x C" { fileinto "2"; }
if hasflag :count "ge" :comparator "i;ascii-numeric" "MyVar" "3" { fileinto "3"; }
if hasflag "A" { fileinto "4"; }
if not hasflag ["\\Answered", "A"] { keep; }
/*
== expect
fileinto "1" (\Seen)
fileinto "2" (\Seen)
fileinto "3" (\Seen)
keep (\Seen)
*/
