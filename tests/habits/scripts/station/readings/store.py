READINGS = {'harbour': [50, 68], 'hill': [32, 41]}
