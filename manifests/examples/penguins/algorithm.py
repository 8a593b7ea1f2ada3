"""Describes penguins, and predicts their body mass by ordinary least squares.

Only the standard library is needed. Sums are exact fractions, so the results are the same on every machine.
"""

import csv
import json
import os
from fractions import Fraction
from math import sqrt
from pathlib import Path

MEASURES = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]
TARGET, PREDICTORS = "body_mass_g", ["bill_length_mm", "bill_depth_mm", "flipper_length_mm"]


def read(path):
    """The rows of a data set; a measure that was not taken (NA) is None."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        for measure in MEASURES:
            row[measure] = None if row[measure] in ("", "NA") else Fraction(row[measure])
    return rows


def describe(values):
    """Mean and sample standard deviation."""
    mean = sum(values) / len(values)
    variance = sum((value - mean) ** 2 for value in values) / (len(values) - 1)
    return float(mean), sqrt(variance)


def solve(matrix, vector):
    """The solution of a system of linear equations, by Gauss and Jordan."""
    size = len(vector)
    rows = [row + [value] for row, value in zip(matrix, vector)]
    for i in range(size):
        pivot = next(k for k in range(i, size) if rows[k][i] != 0)
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [value / rows[i][i] for value in rows[i]]
        for k in range(size):
            if k != i:
                rows[k] = [a - rows[k][i] * b for a, b in zip(rows[k], rows[i])]
    return [row[size] for row in rows]


def fit(rows):
    """TARGET as a linear function of PREDICTORS, by the normal equations X'X b = X'y."""
    complete = [row for row in rows if all(row[name] is not None for name in [TARGET, *PREDICTORS])]
    x = [[Fraction(1)] + [row[name] for name in PREDICTORS] for row in complete]
    y = [row[TARGET] for row in complete]
    columns = list(zip(*x))
    products = [[sum(a * b for a, b in zip(u, v)) for v in columns] for u in columns]
    coefficients = solve(products, [sum(a * b for a, b in zip(u, y)) for u in columns])
    mean = sum(y) / len(y)
    residual = sum((b - sum(c * a for c, a in zip(coefficients, row))) ** 2 for row, b in zip(x, y))
    total = sum((b - mean) ** 2 for b in y)
    return {
        "formula": f"{TARGET} ~ {' + '.join(PREDICTORS)}",
        "n": len(y),
        "coefficients": {name: round(float(c), 6) for name, c in zip(["intercept", *PREDICTORS], coefficients)},
        "r_squared": round(float(1 - residual / total), 6),
    }


def main():
    inputs, outputs = Path(os.environ["INPUTS"]), Path(os.environ["OUTPUTS"])
    rows = []
    for did in json.loads(os.environ["DIDS"]):
        rows += read(inputs / did / "0")
        print(f"read {did}: {len(rows)} penguins so far", flush=True)

    with open(outputs / "summary.csv", "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["species", "n"] + [f"{m}_{what}" for m in MEASURES for what in ("mean", "sd", "missing")])
        for species in sorted({row["species"] for row in rows}):
            of_species = [row for row in rows if row["species"] == species]
            line = [species, len(of_species)]
            for measure in MEASURES:
                values = [row[measure] for row in of_species if row[measure] is not None]
                mean, deviation = describe(values)
                line += [f"{mean:.4f}", f"{deviation:.4f}", len(of_species) - len(values)]
            table.writerow(line)
            print(f"described {species}: {len(of_species)} penguins", flush=True)

    result = fit(rows)
    (outputs / "fit").mkdir(exist_ok=True)
    (outputs / "fit" / "body_mass.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(f"fitted {result['formula']} to {result['n']} penguins: R^2 = {result['r_squared']}", flush=True)


main()
