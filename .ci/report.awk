# Reads what a test binary printed under -test.v: prints the failures with their
# output and appends each skipped test with its reason to the file `skips`.
# With -v the output of parallel tests is interleaved; "=== NAME" lines say
# whose the next ones are. A test that is for another of the three users
# (testenv.NotFor) misses nothing.

/^=== (RUN|CONT|NAME|PAUSE)/ { name = $3; next }

/^ *--- (PASS|FAIL|SKIP): / {
  if ($2 == "FAIL:") print $0 "\n" output[$3]
  if ($2 == "SKIP:" && reason($3) !~ /not for the test user/) print who ": " $3 ": " reason($3) >> skips
  if ($2 == "FAIL:") told = 1
  name = $3
  next
}

/^(PASS|FAIL|ok|exit status)/ { next }
{ output[name] = output[name] $0 "\n"; all = all $0 "\n" }

# A binary that died (panic, time-out) names no failed test: show everything.
END { if (verdict == "FAIL" && !told) print all }

function reason(test,   lines, n) {
  n = split(output[test], lines, "\n")
  return n > 1 ? lines[n - 1] : "no reason given"
}
