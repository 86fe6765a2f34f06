// Makes a filter with libseccomp and writes it to standard output. Standard input has
// a line for each thing:
//
//	arch NAME             one of the filter's architectures
//	rule ACTION NAME [INDEX OP A B]...
//
// and the argument is the default action. Names that libseccomp does not know go to
// standard error.
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(int rc, const char *what)
{
	if (rc < 0 && rc != -17) { // EEXIST
		fprintf(stderr, "%s: %s\n", what, strerror(-rc));
		exit(1);
	}
}

static void rule(scmp_filter_ctx ctx, char *line)
{
	struct scmp_arg_cmp args[6];
	unsigned n = 0;
	unsigned action = strtoul(strtok(line, " \n"), NULL, 0);
	char *name = strtok(NULL, " \n"), *word;
	int nr = seccomp_syscall_resolve_name(name);
	if (nr == __NR_SCMP_ERROR) {
		fprintf(stderr, "unknown %s\n", name);
		return;
	}
	while ((word = strtok(NULL, " \n"))) {
		args[n].arg = atoi(word);
		args[n].op = atoi(strtok(NULL, " \n"));
		args[n].datum_a = strtoull(strtok(NULL, " \n"), NULL, 0);
		args[n].datum_b = strtoull(strtok(NULL, " \n"), NULL, 0);
		n++;
	}
	must(seccomp_rule_add_array(ctx, action, nr, n, args), name);
}

int main(int argc, char **argv)
{
	char line[4096];
	scmp_filter_ctx ctx = seccomp_init(strtoul(argv[1], NULL, 0));
	must(seccomp_arch_remove(ctx, SCMP_ARCH_NATIVE), "arch_remove");
	while (fgets(line, sizeof line, stdin)) {
		if (!strncmp(line, "arch ", 5)) {
			line[strcspn(line, "\n")] = 0;
			must(seccomp_arch_add(ctx, seccomp_arch_resolve_name(line + 5)), line);
		} else {
			rule(ctx, line + 5);
		}
	}
	must(seccomp_export_bpf(ctx, 1), "export");
	return 0;
}
