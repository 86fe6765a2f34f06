# Functions for the lines that make a condition.

# writable DIR: what is changed below it from now on is changed here alone.
writable() {
  local layer=$SCRATCH/layer$1
  mkdir -p "$layer/upper" "$layer/work"
  mount -t overlay overlay -o "lowerdir=$1,upperdir=$layer/upper,workdir=$layer/work" "$1"
}

# without PROGRAM...: not installed.
without() {
  local dir program
  for dir in /usr/bin /usr/sbin; do
    writable $dir
    for program; do rm -f "$dir/$program"; done
  done
}

# without_device NAME: /dev with all but one.
without_device() {
  local dev=$SCRATCH/dev entry
  mkdir "$dev"
  mount -t tmpfs -o mode=755 none "$dev"
  for entry in /dev/*; do
    case $entry in
    "/dev/$1") ;;
    *)
      if [ -L "$entry" ]; then
        cp -P "$entry" "$dev/"
      else
        if [ -d "$entry" ]; then mkdir "$dev/${entry#/dev/}"; else : >"$dev/${entry#/dev/}"; fi
        mount --rbind "$entry" "$dev/${entry#/dev/}"
      fi
      ;;
    esac
  done
  mount --rbind "$dev" /dev
}

# home_on TYPE [OPTIONS]: the user's home is such a file system.
home_on() {
  mount -t "$1" -o "${2:-defaults}" none "$HOME"
  chown "$UID:$UID" "$HOME"
  chmod 700 "$HOME"
}
