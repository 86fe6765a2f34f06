#compdef rootlet
# Completion of rootlet's commands, flags and names for zsh:
#   source <(rootlet completion zsh)
_rootlet() {
	local answer
	local -a found options
	for answer in "${(@f)$(rootlet __complete -- "${(@Q)words[2,CURRENT]}" 2>/dev/null)}"; do
		case $answer in
		'') ;;
		:files) _files ;;
		:nospace) options=(-S '') ;;
		*) found+=("$answer") ;;
		esac
	done
	(( $#found )) && compadd "${options[@]}" -- "${found[@]}"
}
if [[ ${funcstack[1]} == _rootlet ]]; then _rootlet "$@"; else compdef _rootlet rootlet; fi
