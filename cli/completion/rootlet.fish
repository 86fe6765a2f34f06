# Completion of rootlet's commands, flags and names for fish:
#   rootlet completion fish | source
function __rootlet_complete
	set -l words (commandline -opc) (commandline -ct)
	for answer in (rootlet __complete -- $words[2..] 2>/dev/null)
		switch $answer
			case :files
				__fish_complete_path (commandline -ct)
			case :nospace
			case '*'
				echo $answer
		end
	end
end
complete -c rootlet -f -a '(__rootlet_complete)'
