# Completion of rootlet's commands, flags and names for bash:
#   source <(rootlet completion bash)
_rootlet() {
	local line=${COMP_LINE:0:COMP_POINT} answer current cut=
	local -a words
	read -r -a words <<<"$line"
	[[ $line == *[[:space:]] ]] && words+=("")
	current=${words[-1]}
	# bash takes a word apart at these; what it put before the last part is there.
	[[ $COMP_WORDBREAKS == *:* && $current == *[:=]* ]] && cut=${current%"${current##*[:=]}"}
	COMPREPLY=()
	while IFS= read -r answer; do
		case $answer in
		:files) compopt -o default ;;
		:nospace) compopt -o nospace ;;
		*) COMPREPLY+=("${answer#"$cut"}") ;;
		esac
	done < <(rootlet __complete -- "${words[@]:1}" 2>/dev/null)
}
complete -F _rootlet rootlet
