=== copied
cp -a --reflink=auto /a /b 2>/dev/null || { rm -rf -- /b; cp -a /a /b; }

=== join
'a b' c

=== octal
\141\000

=== printf
printf '\141\000'

=== printf nothing
printf ''

=== quote
'it'"'"'s $HOME; a b'

=== write_file
(umask 077; t=/f.new; trap 'rm -f "$t"' EXIT; trap 'exit 143' HUP INT TERM; rm -f "$t"
{ printf '\170'; } >"$t" && chmod 0600 "$t" && sync && mv -f "$t" /f && sync)

=== write_file of a dash
(umask 077; t=./-f.new; trap 'rm -f "$t"' EXIT; trap 'exit 143' HUP INT TERM; rm -f "$t"
{ printf '\170'; } >"$t" && chmod 0000 "$t" && sync && mv -f "$t" ./-f && sync)

=== write_file any mode
(umask 077; t=/f.new; trap 'rm -f "$t"' EXIT; trap 'exit 143' HUP INT TERM; rm -f "$t"
{ printf '\170'; } >"$t" && chmod 7777 "$t" && sync && mv -f "$t" /f && sync)

