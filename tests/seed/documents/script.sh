echo "$0 $1"
sort -r "$INPUTS/letters/0" > "$OUTPUTS/reversed"
cat "$INPUTS/algoCustomData.json"
