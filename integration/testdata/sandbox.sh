# What TestWorkInASandbox feeds to bash in a container of --sandbox.

# The shell: pipes, jobs, process substitution, files in a directory of its own.
[ "$(seq 1 1000 | grep 7 | sort -n | wc -l)" = 271 ]
set -m
sleep 0.1 & sleep 0.1 & [ "$(jobs | wc -l)" = 2 ]
wait
set +m
diff <(echo a) <(echo a)
mkdir -p one two; echo x >one/f; mv one/f two/f; ln two/f two/g; mkfifo pipe
! touch /etc/x 2>/dev/null
echo x >/dev/null

# A compiler, and what it has made.
cat >a.c <<'C'
#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
static void *f(void *x) { return x; }
int main(void) {
	pthread_t t;
	if (pthread_create(&t, 0, f, 0) || pthread_join(t, 0)) return 1;
	if (fork() == 0) _exit(0);
	wait(0);
	puts("compiled");
	return 0;
}
C
printf 'a: a.c\n\tgcc -O2 -pthread -o a a.c\n' >Makefile
make -s
[ "$(./a)" = compiled ]

# A repository, which moves files between directories.
mkdir repo; cd repo
git init -q . 2>/dev/null
cp ../a.c .
git add .
git -c user.name=n -c user.email=a@b commit -qm one
git gc -q
[ -z "$(git status -s)" ]
cd ..

# Python: programs, threads, processes, sockets, a terminal.
python3 - <<'P'
import concurrent.futures, multiprocessing, os, pty, socket, sqlite3, subprocess, tempfile, threading

assert subprocess.run("echo sub | tr a-z A-Z", shell=True, capture_output=True, text=True).stdout == "SUB\n"
t = threading.Thread(target=int); t.start(); t.join()
with multiprocessing.Pool(3) as p:
    assert sum(p.map(abs, range(10))) == 45
q = multiprocessing.Queue()
c = multiprocessing.Process(target=q.put, args=(5,)); c.start(); assert q.get() == 5; c.join()
with concurrent.futures.ThreadPoolExecutor(20) as e:
    assert sum(e.map(abs, range(10))) == 45
a, b = socket.socketpair(); a.send(b"x"); assert b.recv(1) == b"x"
d = tempfile.mkdtemp()
s = socket.socket(socket.AF_UNIX); s.bind(d + "/s"); s.listen(); socket.socket(socket.AF_UNIX).connect(d + "/s")
s = socket.create_server(("127.0.0.1", 0)); socket.create_connection(s.getsockname())
sqlite3.connect(d + "/db").execute("create table t(x)")
pid, fd = pty.fork()
if pid == 0:
    os.execvp("tty", ["tty"])
assert os.read(fd, 100).startswith(b"/dev/pts/")
P
echo all done
