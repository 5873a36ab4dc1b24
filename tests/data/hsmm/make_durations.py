"""Duration laws by SciPy (1.x), printed as the rows of src/decide/hsmm_durations_test.cc."""
import numpy as np
from scipy import stats

D = (1, 2, 5, 20, 60)
for family, name, law in (
    ("kPoisson", "{7.5}", lambda d: stats.poisson(7.5).pmf(d - 1)),
    ("kNegativeBinomial", "{2.5, 12.0}", lambda d: stats.nbinom(2.5, 2.5 / 14.5).pmf(d - 1)),
    ("kGaussian", "{6.0, 4.0}", None),
    ("kLogNormal", "{2.0, 0.75}", None),
    ("kGamma", "{0.7, 9.0}", None),
):
    if law is None:
        x = {"kGaussian": stats.norm(6, 4), "kLogNormal": stats.lognorm(0.75, scale=np.exp(2)),
             "kGamma": stats.gamma(0.7, scale=9)}[family]
        law = lambda d, x=x: (x.sf(d - 0.5) - x.sf(d + 0.5)) / x.sf(0.5)
    print("{DurationFamily::%s, %s, {%s}}," % (family, name, ", ".join("%.15g" % law(d) for d in D)))
